"""The site that `make docs` builds works without a network."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.documentation.pages import ROOT
from tools.browser import content_after_scripts

SEARCH = """
<script>
setTimeout(() => {
  document.querySelector("#__search").click();
  const input = document.querySelector(".md-search__input");
  input.focus();
  input.value = "recompiles";
  input.dispatchEvent(new Event("keyup", { bubbles: true }));
}, 1000);
</script>
</body>"""


@pytest.mark.needs("browser", "docs")
def test_the_search_works_without_a_server(tmp_path: Path) -> None:
    """For a page opened from a file, a browser starts no web worker."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    page = tmp_path / "site" / "index.html"
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", SEARCH), encoding="utf-8")

    assert "matching documents" in content_after_scripts(page, "--virtual-time-budget=10000")
