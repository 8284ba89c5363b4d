"""The password of the Prefect servers that tests start."""

AUTH = ("tests", "of-prefect")
AUTH_STRING = ":".join(AUTH)
# For a server and for whoever asks it.
VARIABLES = {"PREFECT_SERVER_API_AUTH_STRING": AUTH_STRING, "PREFECT_API_AUTH_STRING": AUTH_STRING}
