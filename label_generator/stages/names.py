"""The names of the stages, of their flagfiles and of their weights folders; for flags, since this imports nothing."""

LEFT2RIGHT = "left2right"
POSE3D = "pose3d"
DIRECT = "direct"
# The two subnetworks of the paper, in the order in which they are trained and run.
PAPER = (LEFT2RIGHT, POSE3D)
NETWORKS = (*PAPER, DIRECT)
# Both subnetworks trained at once, which only the canonical recipe does.
CHAIN = "chain"
