"""`clickmask doctor`: finds out what keeps clicks from working."""

from backend.operations.doctor.examination import examine as examine
from backend.operations.doctor.finding import FAIL as FAIL
from backend.operations.doctor.finding import OK as OK
from backend.operations.doctor.finding import WARN as WARN
from backend.operations.doctor.finding import Finding as Finding
