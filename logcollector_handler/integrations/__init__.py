"""Frameworks: each file serves one, imports what that needs, and is imported by nobody but the application."""
