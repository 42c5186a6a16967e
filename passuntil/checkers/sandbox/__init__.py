"""The jail: processes that may run anything and reach nothing."""
