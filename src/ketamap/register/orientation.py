"""x"""


def orientation_suspicions(*a):
    return ()
