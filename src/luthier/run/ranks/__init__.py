"""One trial over several processes of one machine: the ranks of PyTorch's distributed training.

Rank 0 leads: it alone holds the study, takes jobs, reports and decides (``leading.py``). The other ranks
follow (``following.py``): they run the same script, and their ``luthier.tune`` trains what rank 0 was
given, in step with it. They talk over a Unix socket (``messages.py``); ``meeting.py`` says who is who and
where that socket is. Nothing here imports a framework.
"""

from luthier.run.ranks.following import follow
from luthier.run.ranks.leading import Leader, leader_here
from luthier.run.ranks.meeting import Group, group_here, rank_here

__all__ = ["Group", "Leader", "follow", "group_here", "leader_here", "rank_here"]
