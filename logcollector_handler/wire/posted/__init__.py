"""What is posted in the format `collector`, read back: the bytes of a body, and the entries in it, checked.

For whoever takes posts: the embedded collector, and the relay for browsers.
"""
