"""The engine under all formats and analyses: it knows arrays, files and bytes.

It is public for authors of formats and of analyses.
"""
