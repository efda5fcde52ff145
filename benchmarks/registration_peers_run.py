"""Align two images with one peer engine, in whatever interpreter that engine is installed in.

Called by ``registration_peers.py``: reads ``fixed``, ``moving`` (axes z, y, x, prepared alike for
all engines), ``spacing_mm`` and ``origin_mm`` of ``moving`` (``fixed`` starts at 0) from an npz
file, and writes where each voxel of ``fixed`` lies in ``moving``, ``(3, z, y, x)`` mm, and CPU
seconds to another.  Imports nothing but the engine.
"""

import resource
import sys
import tempfile

import numpy as np

ELASTIX = (
    ("affine", {"MaximumNumberOfIterations": ["250"], "NumberOfResolutions": ["3"]}),
    (
        "bspline",
        {
            "MaximumNumberOfIterations": ["300"],
            "NumberOfResolutions": ["4"],
            "FinalGridSpacingInPhysicalUnits": ["0.5"],
        },
    ),
)
ELASTIX_ALL = {
    "NumberOfSpatialSamples": ["4096"],
    "NewSamplesEveryIteration": ["true"],
    "ImageSampler": ["RandomCoordinate"],
    "AutomaticTransformInitialization": ["true"],
    "AutomaticTransformInitializationMethod": ["CenterOfGravity"],
    "RandomSeed": ["1"],
}
"""Mutual information (elastix's default), with a grid of 500 um and twice the samples."""

ANTS = {"syn_metric": "CC", "syn_sampling": 2, "reg_iterations": (100, 70, 10)}
"""SyN with local correlation in windows of 5 x 5 x 5 voxels."""


def elastix(fixed, moving, spacing_mm, origin_mm):
    import itk

    pictures = []
    for image, origin in ((fixed, np.zeros(3)), (moving, origin_mm)):
        picture = itk.image_from_array(np.ascontiguousarray(image, dtype=np.float32))
        picture.SetSpacing([float(v) for v in spacing_mm[::-1]])
        picture.SetOrigin([float(v) for v in origin[::-1]])
        pictures.append(picture)
    parameters = itk.ParameterObject.New()
    for kind, own in ELASTIX:
        settings = dict(parameters.GetDefaultParameterMap(kind, 4))
        parameters.AddParameterMap({**settings, **ELASTIX_ALL, **own})
    _, found = itk.elastix_registration_method(
        *pictures, parameter_object=parameters, log_to_console=False
    )
    with tempfile.TemporaryDirectory() as folder:
        vectors = itk.transformix_deformation_field(pictures[1], found, output_directory=folder)
    return np.moveaxis(itk.array_from_image(vectors), -1, 0)[::-1]


def ants(fixed, moving, spacing_mm, origin_mm):
    import ants as antspy

    def picture(image, origin):
        return antspy.from_numpy(
            image.astype(np.float32), origin=tuple(origin), spacing=tuple(spacing_mm)
        )

    pair = picture(fixed, np.zeros(3)), picture(moving, origin_mm)
    found = antspy.registration(*pair, type_of_transform="SyN", random_seed=1, **ANTS)
    import pandas as pd

    points = np.indices(fixed.shape).reshape(3, -1).T * spacing_mm
    table = pd.DataFrame(points, columns=["x", "y", "z"])
    carried = antspy.apply_transforms_to_points(3, table, found["fwdtransforms"])
    vectors = carried[["x", "y", "z"]].to_numpy() - points
    return vectors.T.reshape(3, *fixed.shape)


def cpu_seconds():
    """Of this process and its finished children."""
    return sum(
        use.ru_utime + use.ru_stime
        for use in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


if __name__ == "__main__":
    engine, source, target = sys.argv[1:]
    given = np.load(source)
    start = cpu_seconds()
    vectors = {"elastix": elastix, "ants": ants}[engine](**given)
    np.savez(target, vectors_mm=vectors.astype(np.float32), cpu_s=cpu_seconds() - start)
