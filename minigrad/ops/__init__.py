"""Every primitive, forward beside backward; one room per kind."""
