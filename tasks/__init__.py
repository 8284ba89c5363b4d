"""The steps that every flow is made of."""

from stager.log_records import log_one_line_a_record

# Whatever executes a flow, in a warm worker's process or in a pod, comes by here before it logs what others wrote.
log_one_line_a_record()
