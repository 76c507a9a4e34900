"""What both networks share, and the commands that span them."""
