"""The review page (tools/review.py): labels packed into one HTML file, with thumbnails beside it.
`page/` is the code that runs in the browser.

May import every subpackage except the baseline network's.
"""
