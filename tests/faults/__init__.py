"""Faults in running tools: kills, full disks, folders that go, holes in files."""
