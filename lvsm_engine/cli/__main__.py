"""python -m lvsm_engine.cli is lvsm."""

import sys

from . import main

sys.exit(main())
