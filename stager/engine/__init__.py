"""The engine: it brings one file or tree to its destination, whole and verified, and nothing is visible before.

``expanded`` lists a source, ``survey`` looks at one, ``compare`` and ``fingerprint`` at a destination;
``transfer``, ``stage_symlink`` and ``stage_hard_link`` bring something beside
its destination; ``seal``, ``flush`` and ``publish`` finish it, ``discard``
takes it back; ``sweep`` removes what dead processes left, ``remove_delivered``
what was published.
"""

from stager.engine.compare import Absent, compare, is_same_file, link_target
from stager.engine.control import Control, StopSignal
from stager.engine.delivered import remove_delivered
from stager.engine.expansion import Found, Pattern, expanded
from stager.engine.expected import Expected, require_size, verify
from stager.engine.fingerprint import fingerprint, fingerprint_of_file
from stager.engine.flush import flush
from stager.engine.leftovers import sweep
from stager.engine.publish import Publication, Published, Refuse, publish
from stager.engine.seal import repair, seal
from stager.engine.stage_link import Link, link_opened, stage_hard_link, stage_symlink
from stager.engine.staged import Modes, Staged, discard
from stager.engine.survey import Survey, survey
from stager.engine.transfer import transfer

ABSENT = Absent.ABSENT

__all__ = [
    "ABSENT",
    "Control",
    "Expected",
    "Found",
    "Link",
    "Modes",
    "Pattern",
    "Publication",
    "Published",
    "Refuse",
    "Staged",
    "StopSignal",
    "Survey",
    "compare",
    "discard",
    "expanded",
    "fingerprint",
    "fingerprint_of_file",
    "flush",
    "is_same_file",
    "link_opened",
    "link_target",
    "publish",
    "remove_delivered",
    "repair",
    "require_size",
    "seal",
    "stage_hard_link",
    "stage_symlink",
    "survey",
    "sweep",
    "transfer",
    "verify",
]
