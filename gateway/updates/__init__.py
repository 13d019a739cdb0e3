"""Updates on their way to the boards: kept, offered, and handed out in parts (docs/format.md, section 6.1).

The gateway carries them and needs no trust for it: what a board takes is signed by its owner's update key.
"""
