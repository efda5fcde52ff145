"""The only readers and writers: images, atlases, tables, studies.  Paths live here."""

from ketamap.io.atlases import open_brainglobe_atlas as open_brainglobe_atlas
from ketamap.io.files import hash_file as hash_file
from ketamap.io.files import replacing as replacing
from ketamap.io.files import replacing_folder as replacing_folder
from ketamap.io.images import ImageSummary as ImageSummary
from ketamap.io.images import describe_image as describe_image
from ketamap.io.images import open_image as open_image
from ketamap.io.labels import read_labels as read_labels
from ketamap.io.manifests import read_json as read_json
from ketamap.io.manifests import write_json as write_json
from ketamap.io.ome_zarr import ImageWriter as ImageWriter
from ketamap.io.ome_zarr import create_image as create_image
from ketamap.io.ome_zarr import write_image as write_image
from ketamap.io.regimens import read_event_table as read_event_table
from ketamap.io.regimens import read_regimen as read_regimen
from ketamap.io.regimens import write_regimen as write_regimen
from ketamap.io.registrations import load_quality as load_quality
from ketamap.io.registrations import load_registration as load_registration
from ketamap.io.registrations import save_registration as save_registration
from ketamap.io.studies import animals_table as animals_table
from ketamap.io.studies import check_groups as check_groups
from ketamap.io.studies import read_design as read_design
from ketamap.io.studies import read_study as read_study
from ketamap.io.studies import write_study as write_study
from ketamap.io.tables import read_animals as read_animals
from ketamap.io.tables import read_any_table as read_any_table
from ketamap.io.tables import read_points as read_points
from ketamap.io.tables import read_table as read_table
from ketamap.io.tables import write_table as write_table
from ketamap.io.tracings import load_tracing as load_tracing

__all__ = [
    "ImageSummary",
    "ImageWriter",
    "animals_table",
    "check_groups",
    "create_image",
    "describe_image",
    "hash_file",
    "load_quality",
    "load_registration",
    "load_tracing",
    "open_brainglobe_atlas",
    "open_image",
    "read_animals",
    "read_any_table",
    "read_design",
    "read_event_table",
    "read_json",
    "read_labels",
    "read_points",
    "read_regimen",
    "read_study",
    "read_table",
    "replacing",
    "replacing_folder",
    "save_registration",
    "write_image",
    "write_json",
    "write_regimen",
    "write_study",
    "write_table",
]
