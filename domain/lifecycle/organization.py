"""The id of an organization: the host application's own string. A path, a workflow's id and a file's
name can carry it.
"""

import re

ID_PATTERN = "[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_ID = re.compile(ID_PATTERN, re.ASCII)


def is_organization_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None
