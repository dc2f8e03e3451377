# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
import sys
from .explore import explore, told
from .profiles import by_name, start, PROFILES
for name in sys.argv[2:] or [p.name for p in PROFILES]:
    s = start(by_name(name))
    f = explore(s, float(sys.argv[1]))
    print(name, f.states, f.transitions, round(f.seconds, 1), f.complete, flush=True)
    if f.wrong:
        print(told(s, f.trace, f.wrong), flush=True)
