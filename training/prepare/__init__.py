"""A user's own videos become training clips.

`look` reads and measures frames, `cuts` finds where shots end, `segments` parts them into takes that can be used,
`clips` chooses a take's portrait and cuts clips out of it (`photo` has another portrait for it), `record` keeps what
became of every frame, `table` shows it, `preparation` does all of it for many videos.
"""
