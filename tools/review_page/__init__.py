"""The page of tools/review.py: labels packed into one HTML file, small pictures beside it; `page/` runs in the browser.

May import every room but the baseline network's. Not named `review`, since a command of that name stands beside it.
"""
