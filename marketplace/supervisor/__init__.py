"""`make run`: broker, web and workers as children of one process, without root and without a server to install.

It never imports Django: children get a complete environment first, then load settings themselves.
"""
