# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts of env files with what their readers make of them, and the kinds of text that are tried at random."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List

from ansible_collections.phased.keys.plugins.module_utils._host.rules import env_text
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FORMATS = env_text.FORMATS
QUOTING = [form for form in FORMATS if form != "docker"]
# Those that expand a $ wherever it stands, and those that refuse a whole file for a line that they do not know.
EXPANDING = ["dotenv", "node-dotenv"]
STRICT = ["phpdotenv", "node-env-file"]
# Each character of the keys that Django makes; django/core/management/utils.py.
DJANGO = "abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)"

EVERY_FORMAT = [
    ("A=x\n", "x"),
    ("A=x", "x"),
    ("A=\n", ""),
    ("\n\n  A=x\n", "x"),
    ("# A=y\nA=x\n", "x"),
    ("  # A=y\nA=x\n", "x"),
    ("B=y\nA=x\nC=z\n", "x"),
    ("AA=y\nA=x\nA_B=z\n", "x"),
    ("A=a=b==\n", "a=b=="),
    ("A=base64:Zm9v/+=\n", "base64:Zm9v/+="),
    ("B=y\n", None),
    ("#A=x\n", None),
    ("", None),
    ("a=x\n", None),
]


def every(form: str) -> List[Any]:
    """The cases of every format that are this one's, too: node's own reader knows no indentation."""
    return [case for case in EVERY_FORMAT if form != "node-env-file" or not re.search("^ ", case[0], re.M)]


READ: Dict[str, List[Any]] = {
    "systemd": [
        # test_load_env_file_1 to _5 in systemd's src/test/test-env-file.c
        ("a=a\nA=b\\\nc\nd=d\\\ne\\\nf\ng=g\\ \nh=h\ni=i\\", "bc"),
        ("a=a\nb=b\\\nc\nA=d\\\ne\\\nf\ng=g\\ \nh=h\ni=i\\", "def"),
        ("a=a\nb=b\\\nc\nd=d\\\ne\\\nf\nA=g\\ \nh=h\ni=i\\", "g "),
        ("h=h\nA=i\\", "i"),
        ("A=a\\\n", "a"),
        ('# Generated\n\nA="coretemp f71882fg"\n\nMODULE_0=coretemp\n', "coretemp f71882fg"),
        ("a=\nA=", ""),
        # Quotes, escapes, blanks
        ("A='it is'\n", "it is"),
        ("A='a\\b'\n", "a\\b"),
        ("A='a'b\n", "ab"),
        ("A='a' 'b' c d  \n", "abc d"),
        ("A=a'b'\n", "a'b'"),
        ('A="a\\"b\\\\c\\$d\\`e\\f"\n', 'a"b\\c$d`e\\f'),
        ('A="a\\\nb\nc"\n', "ab\nc"),
        ("A=a\\'b\\\\\n", "a'b\\"),
        ("A = x y  \n", "x y"),
        ("A=x # y\n", "x # y"),
        ("A=$HOME `x` $(y)\n", "$HOME `x` $(y)"),
        ("A=x\r\nB=y\r\n", "x"),
        ("; A=y\nA=x\n", "x"),
        ("B='\nA=y\n'\nA=x\n", "x"),
        ("B=b\\\nA=y\nA=x\n", "x"),
        ("export A=x\n", None),
        ("\ufeffA=x\n", None),
        ("B=1\\", None),
        ("# \\\n# A=y\nA=x\n", "x"),
    ],
    "dotenv": [
        ("export A=x\n", "x"),
        ("A = x\n", "x"),
        ("A='x y' # c\n", "x y"),
        ("A=x # c\n", "x"),
        ("A=x\t# c\n", "x"),
        ("A='x' # don't\n", "x"),
        ('A="it\'s"\n', "it's"),
        ('A=\'["a", "b"]\'\n', '["a", "b"]'),
        ('A=["a","b"]\n', '["a","b"]'),
        ("A='a#b$%c'\n", "a#b$%c"),
        ('A="a#b$%"\n', "a#b$%"),
        ("A=a$\n", "a$"),
        ("B='\nA=y\n'\nA=x\n", "x"),
        ('B="a\nb"\nA=x\r\n', "x"),
        ("B=it's\nA=x\n", "x"),
        ("B=${C}\\n`d`\nA=x\n", "x"),
    ],
    "docker": [
        ("A='x y' # c \n", "'x y' # c "),
        ("A=$HOME\\\nB=x\n", "$HOME\\"),
        ("A= x\r\nB=y\r\n", " x"),
        ("\ufeffA=x\n", "x"),
        ("B='\nA=x\n", "x"),
        ("A =x\n", None),
        ("export A=x\n", None),
    ],
    "compose": [
        ("export A=x\n", "x"),
        ("A='a$b' # c\n", "a$b"),
        ("A=a#b c # d\n", "a#b c"),
        ("A=a\\b\n", "a\\b"),
        ("\ufeffA=x\r\nB=y\r\n", "x"),
        ("B='\nA=y\n'\nA=x\n", "x"),
        ("B=$C\nA=x\n", "x"),
    ],
    "shell": [
        ("export A=x\n", "x"),
        ("readonly A=x\n", "x"),
        ("export B=y A='x' C\n", "x"),
        ("A='' B='y'\n", ""),
        ("A=''x\n", "x"),
        ("A=x; export A # c\n", "x"),
        ("A=x && export A\n", "x"),
        ("A=a'b c'\"d'\"\\e\\\nf\n", "ab cd'ef"),
        ('A="a\\"b\\\\c\\$d\\`e\\f\\\ng"\n', 'a"b\\c$d`e\\fg'),
        ("A='a\nb'\n", "a\nb"),
        ("A=a#b #c\n", "a#b"),
        ("A=a*b?[c]{d,e}!f\n", "a*b?[c]{d,e}!f"),
        ("A=x\r\n", "x\r"),
        ("B=$(echo ')' \"$(id)\" (x)) C=`id` D=${E:-'}'}\nA=x\n", "x"),
        ("if true; then B=y; fi\nA=x\n", "x"),
        ("case $1 in a) B=y;; esac\nA=x\n", "x"),
        ("f() { B=y; }\nA=x\n", "x"),
        ("set -a\n./other >&2\nA=x\n", "x"),
        ("echo if >&2\nA=x\n", "x"),
        ("B='\nA=y\n'\nA=x\n", "x"),
        ("B=\\\nA=y\n", None),
        ("echo A=x\n", None),
        ("A =x\n", None),
    ],
}
# A reader by its name reads all that its readers have in common, and more.
READ["python-dotenv"] = [*READ["dotenv"], ("A='a#b$c'\n", "a#b$c"), ("B:\nA=x\n", "x")]
READ["node-dotenv"] = [*READ["dotenv"], ("'A'=x\n", None)]
READ["ruby-dotenv"] = [*READ["dotenv"], ("A='a#b$c'\n", "a#b$c"), ("'A'=x\n", None)]
READ["phpdotenv"] = [
    # With phpdotenv `export` and a name of one letter are no name, and a line that it cannot read ends it.
    *[case for case in READ["dotenv"] if "export" not in case[0] and not case[0].startswith("B='\n")],
    ("A='a#b$c'\n", "a#b$c"), ("export BB=1\nA=x\n", "x"),
]  # fmt: skip
READ["node-env-file"] = [
    ("A='a#b$c' # d\n", "a#b$c"), ("export A=x\r\nB=y\r\n", "x"), ("A = x # c\n", "x"), ("B=''\nA=\"it\"\n", "it"),
]  # fmt: skip

REWRITE = [
    *[(form, "# c\nB=1\nA=x\nC=2", {"A": "y"}, "# c\nB=1\nA=y\nC=2") for form in FORMATS],
    *[(form, "A=x\nB=1\n", {"A": None, "C": None}, "B=1\n") for form in FORMATS],
    *[(form, "#A=x\nB=1\n", {"A": None}, "#A=x\nB=1\n") for form in FORMATS],
    *[(form, "", {"A": "x", "B": "y"}, "A=x\nB=y\n") for form in FORMATS if form != "shell"],
    *[(form, "B=1", {"A": "x"}, "B=1\nA=x\n") for form in FORMATS if form != "shell"],
    *[(form, "B=1\r\nA=x\r\n", {"A": "y", "C": "z"}, "B=1\r\nA=y\r\nC=z\r\n") for form in FORMATS if form != "shell"],
    *[(form, "B=1\r\n  A=x\r\nC=2\r\n", {"A": None}, "B=1\r\nC=2\r\n") for form in FORMATS if form != "node-env-file"],
    *[(form, "A='x'\n", {"A": "x"}, "A='x'\n") for form in QUOTING],
    *[(form, "A='a b'\n", {"A": "c d"}, "A='c d'\n") for form in QUOTING],
    *[(form, "A=x\n", {"A": '["a b", "c"]'}, "A='[\"a b\", \"c\"]'\n") for form in QUOTING],
    *[(form, "A=x\n", {"A": "a$b c"}, "A='a$b c'\n") for form in QUOTING if form not in EXPANDING],
    *[(form, "A=x\n", {"A": "it's"}, 'A="it\'s"\n') for form in QUOTING if form != "shell"],
    ("systemd", "A = 'x' \"y\" z \\\n  q  \nB=1\n", {"A": "n"}, "A = n  \nB=1\n"),
    ("systemd", "A=x\\\ny\nB=1\n", {"A": None}, "B=1\n"),
    ("systemd", "", {"A": "a'b\"c\\d$e`f"}, 'A="a\'b\\"c\\\\d\\$e\\`f"\n'),
    ("systemd", "", {"A": "a b\\c"}, 'A="a b\\\\c"\n'),
    ("docker", "A='x'\n", {"A": '["a b", "$\\"]'}, 'A=["a b", "$\\"]\n'),
    ("dotenv", "export A=x # c\n", {"A": "y z"}, "export A='y z' # c\n"),
    ("dotenv", "  A = 'x' # c\n", {"A": ""}, "  A = '' # c\n"),
    ("dotenv", "export B=1\n", {"A": "x"}, "export B=1\nexport A=x\n"),
    ("dotenv", "export B=1\nC=2\n", {"A": "x"}, "export B=1\nC=2\nA=x\n"),
    ("compose", "A=x # c\n", {"A": "a#b"}, "A='a#b' # c\n"),
    ("shell", "", {"A": "x"}, "export A=x\n"),
    ("shell", "B=1\r\n", {"A": "x"}, "B=1\r\nexport A=x\n"),
    ("shell", "export A=x B=1\n", {"A": "it's", "B": "2"}, "export A='it'\\''s' B=2\n"),
    ("shell", " A=x; # c\nB=1\n", {"A": None}, "B=1\n"),
    ("shell", "export A=x # c\nB=1\n", {"A": None}, "B=1\n"),
    ("shell", "A=a\\\nb\"c\nd\"; export A\n", {"A": "n"}, "A=n; export A\n"),
]  # fmt: skip

key = st.text(DJANGO, max_size=60)
value_of_any_framework = st.one_of(
    key, st.lists(key, max_size=3).map(json.dumps), st.lists(key, max_size=3).map(",".join)
)
other_line = st.sampled_from(
    [
        "",
        "# it's",
        "#A=1",
        " ;",
        "B=1",
        "  B = 'x y'",
        "export C=2 ",
        'D="x\ny"',
        "E='a#b'",
        "F=x # y",
        "# SECRET_KEY=2",
    ]
)
old_line = st.sampled_from(
    ["SECRET_KEY=old", "export SECRET_KEY='o l d'", '  SECRET_KEY="old" ', "SECRET_KEY=", "", "\t"]
)
common = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

pieces = st.sampled_from(
    [
        *"AB='\"\\ \n#;$`()&|<>{}*~:x\t\r",
        "A=",
        "\nA=",
        "\nexport A=",
        "'x'",
        '"x"',
        "\\\n",
        "if ",
        "fi",
        "[",
        " #",
        "\r\n",
    ]
)
soup = st.lists(pieces, max_size=20).map("".join)


def expands(form: str, value: str) -> bool:
    """Whether some reader of the format makes something else of this value, however it is quoted."""
    return form in EXPANDING and bool(re.search(r"\$[A-Za-z0-9_({]", value))
