"""The pytest plugin, in sessions of its own."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jaxloss import cli, verify
from jaxloss.verify import files

pytest_plugins = ["pytester"]
PAGE = Path(__file__).parent.parent / "docs" / "verify.md"
Session = Callable[..., pytest.RunResult]

HEADER = """
import jax.numpy as jnp
from jaxloss import verify

def root(predictions, targets):
    return jnp.sqrt((predictions - targets) ** 2)

REALS = (verify.reals(), verify.reals())
"""


@pytest.fixture
def session(pytester: pytest.Pytester) -> Session:
    """Run a test module of one's own, in this process."""

    def run(text: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(HEADER + text)
        plugins = ["-p", "pytest_jaxloss", "-p", "no:cacheprovider"]
        return pytester.runpytest_inprocess(*plugins, *options)

    return run


def test_there_is_a_test_for_each_loss_check_and_dtype(session: Session) -> None:
    result = session(
        """
@verify.parametrize(["l2_loss", "huber_loss"], checks=["S1", "D1"], dtypes=["f32", "bf16"])
@verify.parametrize(root, *REALS, checks=["T3"])
def test_losses(check):
    check()
""",
        "-v",
        "-rs",
    )
    result.assert_outcomes(passed=6, skipped=1)
    result.stdout.fnmatch_lines_random(
        [
            "*test_losses?l2_loss-S1? PASSED*",
            "*test_losses?l2_loss-D1-float32? PASSED*",
            "*test_losses?huber_loss-D1-bfloat16? PASSED*",
            "*test_losses?root-T3? SKIPPED*",
            "SKIPPED*no hyper-parameters",
        ]
    )


def test_a_failure_tells_how_to_repeat_it(session: Session) -> None:
    result = session(
        """
@verify.parametrize(root, *REALS, checks=["S1"])
def test_losses(check):
    check()
""",
        "--jaxloss-seed=7",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "jaxloss: level standard, seed 7",
            "*AssertionError: root (seed 7):*",
            "*d/dpredictions is nan at (0., 0.), * of 32 rows*",
            "*import jax, jax.numpy as jnp*",
        ]
    )


def test_waivers_are_strict(session: Session) -> None:
    result = session(
        """
@verify.parametrize(root, *REALS, checks=["S1", "D1"], waive={"S1": "see #1", "D1.f16": "see #2"})
def test_losses(check):
    check()
""",
        "-rx",
        "--jaxloss-report=out.json",
    )
    # Both of float32 and float64 pass, and a waiver of float16 is stale.
    result.assert_outcomes(xfailed=1, failed=1, passed=3)
    result.stdout.fnmatch_lines(["*test_losses?root-D1-float16?*", "*XPASS(strict)* see #2*"])
    (report,) = files.read(Path("out.json"))
    assert {f.check: f.verdict for f in report.findings} == {
        "D1.bfloat16": "pass",
        "D1.float16": "fail",
        "D1.float32": "pass",
        "D1.float64": "pass",
        "S1": "waived",
    }


def test_a_report_is_gathered_from_other_processes(session: Session) -> None:
    result = session(
        """
@verify.parametrize(["l2_loss", "huber_loss"], checks=["D1"], dtypes=["float32", "float16"])
def test_losses(check):
    check()
""",
        "-n1",
        "--jaxloss-seed=random",
        "--jaxloss-report=out.md",
    )
    result.assert_outcomes(passed=4)
    text = Path("out.md").read_text()
    assert text.count("## ") == 2 and text.count("| pass |") == 4


def test_the_page_that_explains_it_is_right(session: Session) -> None:
    blocks = re.findall(r"```(python|bash)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (module,) = (text for _, text in blocks if "test_losses.py" in text)
    # Of the Huber loss G3 in three dtypes and S1; of the other D1 in four, and the waived S1.
    session(module).assert_outcomes(passed=8, xfailed=1)
    (command,) = (text for language, text in blocks if language == "bash")
    words = command.replace("\\\n", " ").split()
    Path("mylosses.py").write_text(module.partition("@verify")[0])
    assert cli.main(words[words.index("verify") :]) == 0
    (report,) = files.read(Path("known.json"))
    assert [f.check for f in report.failures] == ["S1"]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--jaxloss-report=out.pdf", "*--jaxloss-report must end in .json, .md, .xml, got out.pdf"),
        ("--jaxloss-seed=x", "*--jaxloss-seed must be a whole number or random, got x"),
        ("--jaxloss-level=high", "*level must be one of*got 'high'*"),
    ],
)
def test_bad_options_are_refused(session: Session, option: str, said: str) -> None:
    text = "\n@verify.parametrize('l2_loss')\ndef test_losses(check):\n    check()\n"
    result = session(text, option)
    (result.stdout if "level" in option else result.stderr).fnmatch_lines([said])


def test_unknown_losses_are_refused() -> None:
    with pytest.raises(KeyError, match="no loss named 'nothing' in the catalogue"):
        verify.parametrize("nothing")


def test_loading_the_plugin_imports_nothing_heavy() -> None:
    code = "import sys, pytest_jaxloss; assert not {'jax', 'numpy', 'jaxloss'} & set(sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
