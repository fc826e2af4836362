"""Settings of the site, which scripts/site.py builds from the executed notebooks."""

project = "fmnist_keras"
html_title = "What five Fashion-MNIST reports said, and what holds"
author = "the fmnist_keras developers"
copyright = "the fmnist_keras developers, Apache License 2.0"

extensions = ["myst_nb", "sphinx-mathjax-offline"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 2
nb_execution_mode = "off"  # reports are executed already
nb_render_markdown_format = "myst"
nb_mime_priority_overrides = [("html", "text/html", 0), ("html", "text/markdown", 1)]
nb_code_prompt_show = "Show the code"
suppress_warnings = ["mystnb.unknown_mime_type", "myst.header", "misc.highlighting_failure"]

html_theme = "sphinx_book_theme"
html_context = {"default_mode": "auto"}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_navbar_depth": 1,
}
