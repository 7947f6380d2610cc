"""Looks at what an installation needs before it is relied on: versions, devices, folders, servers, space."""
