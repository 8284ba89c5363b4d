"""The steps that every flow is made of."""

from stager.log_records import log_one_line_a_record

# Every process that executes a flow, in a pod or not, imports this package before it logs what others wrote.
log_one_line_a_record()
