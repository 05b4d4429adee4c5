"""`headtohead report DIR`, and how many of torch's modules it imported, said at its end.

python benchmarks/reporting.py DIR
"""

import json
import sys

from headtohead.cli import main

if __name__ == "__main__":
    main(["report", *sys.argv[1:]], standalone_mode=False)
    modules = sum(name.partition(".")[0] == "torch" for name in sys.modules)
    print(json.dumps({"modules_of_torch": modules}))
