"""Tests of clickmask.

One thread computes, here and in the processes that tests start: the networks of tests are so small that threads wait
for each other longer than they compute, all the more where several tests run at once.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
