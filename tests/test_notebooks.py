"""The notebooks run, and are what their sources say."""

from pathlib import Path

import jupytext
import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))


def sources(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def assert_clean(notebook):
    """No errors, no warnings, nothing that depends on where it ran."""
    assert not [
        o for o in outputs(notebook) if o.output_type == "error" or o.get("name") == "stderr"
    ]
    for output in outputs(notebook):
        text = str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", ""))
        assert str(ROOT) not in text
        assert " at 0x" not in text


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_committed_notebook_is_its_source_executed(source):
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert sources(notebook) == sources(jupytext.read(source)), (
        f"bring them in step: cd notebooks && jupytext --to ipynb {source.name} && "
        f"jupyter execute --inplace {source.stem}.ipynb"
    )
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert notebook.metadata.kernelspec.name == "python3"
    assert any("image/png" in output.get("data", {}) for output in outputs(notebook))
    assert_clean(notebook)


# Jupyter's own modules warn of each other, of sockets and of loops.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_notebook_runs(source):
    notebook = jupytext.read(source)
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    )
    assert_clean(client.execute())
