"""How good an avatar is: clips drive their own first frame, and the clip itself is the truth.

`reel` reads a clip, `systems` are what is compared, `reenactment` renders and measures them frame by frame,
`verdicts` compares the means, `stillness` and `drift` look at time, `plots`, `sheets` and `report` show it.
"""
