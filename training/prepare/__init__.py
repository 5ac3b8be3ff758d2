"""A user's own videos become training clips.

`look` reads and measures frames, `segments` parts them into takes that can be used, `clips` chooses a take's portrait
and cuts clips out of it, `record` keeps what became of every frame, `table` shows it, `preparation` does all of it for
many videos.
"""
