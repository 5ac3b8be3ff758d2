"""People who do not exist: animated heads with exact landmarks in MediaPipe's topology.

`anatomy` is the average face and how skin follows what pulls it, `expression` moves it, `identity` varies it; `skin`,
`hair`, `mouth`, `eyes`, `body` and `glasses` are what a person is made of, `person` puts them together; `acting` says
how they move, `lighting`, `backdrop` and `camera` how they are filmed, `raster` draws, `scene` films, `detector`
imitates the errors of a landmark detector, `statistics` asks the real one.
"""
