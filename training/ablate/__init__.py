"""AAPT's claims (arXiv 2506.09350) in miniature: stage 3 with and without what each claim is about.

`arms` are what is trained, `measures` look at an arm's walk, `claims` compare two arms and judge, `beginning` is what
all arms of a seed share, `ablation` runs everything and goes on where it stopped, `report` and `plot` show it.
"""
