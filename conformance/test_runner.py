"""Tests of the runner itself: right answers pass, and each kind of wrong answer fails.

EVENKEEL_BINARY names the server's program. `python -m unittest` in this folder runs them.
"""

import contextlib
import io
import json
import os
import shlex
import shutil
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import grpc

import adapter
import bare
import cases
import compare
import matrix
import run
from messages import pb, rpc
from scripted import Scripted

HERE = Path(__file__).resolve().parent
EVENKEEL = os.environ["EVENKEEL_BINARY"]


def ran(*options: str, wrong: str | None = None) -> tuple[int, str]:
    """The exit code and the output of the runner with the reference adapter."""
    command = [sys.executable, str(HERE / "reference.py"), *(("--wrong", wrong) if wrong else ())]
    words = ["run.py", "--evenkeel", EVENKEEL, "--adapter", shlex.join(command), *options]
    output = io.StringIO()
    with mock.patch.object(sys, "argv", words), contextlib.redirect_stdout(output):
        code = run.main()
    return code, output.getvalue()


class RightAnswers(unittest.TestCase):
    def test_all_cases_can_be_passed(self):
        code, output = ran()
        self.assertEqual(code, 0, output)
        self.assertNotIn("gap", output)

    def test_expectations_are_what_the_server_answers(self):
        """`--write` changes no file: no expectation was edited, or is out of date."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "cases"
            shutil.copytree(cases.FOLDER, copy)
            with mock.patch.object(cases, "FOLDER", copy):
                self.assertEqual(ran("--write")[0], 0)
            for file in cases.FOLDER.glob("*.json"):
                self.assertEqual((copy / file.name).read_text(), file.read_text(), file.name)


class WrongAnswers(unittest.TestCase):
    def fails(self, wrong: str, case: str, words: str) -> None:
        code, output = ran("--case", case, wrong=wrong)
        self.assertEqual(code, 1, output)
        # The last lines repeat what is wrong.
        self.assertIn(words, output.partition(f"FAILED adapter {case}\n")[2])

    def test_a_bit(self):
        self.fails("bit", "normalize/layer/readme", "output[0]: expected bfabba")

    def test_a_code(self):
        self.fails("code", "errors/eps-negative", 'error.code: expected "INVALID_ARGUMENT", and got "UNKNOWN"')

    def test_fields(self):
        self.fails(
            "fields", "errors/several", 'error.fields: expected ["eps", "momentum", "weight.shape", "bias.shape"]'
        )

    def test_a_success_instead_of_an_error(self):
        self.fails("success", "errors/eps-negative", "expected the error")

    def test_a_missing_part(self):
        self.fails("missing", "normalize/layer/readme", "is not in the answer")

    def test_a_part_too_many(self):
        self.fails("extra", "normalize/layer/readme", "extra: must not be in the answer")

    def test_another_id(self):
        self.fails("id", "normalize/layer/readme", "has another id than 1")

    def test_text_on_standard_output(self):
        self.fails("text", "normalize/layer/readme", "is not JSON")

    def test_too_slow(self):
        self.fails("slow", "retries/delay-beyond-deadline", "expected 2500 at most")

    def test_no_retries(self):
        self.fails("impatient", "retries/overloaded-twice", "OVERLOADED")

    def test_no_streams(self):
        self.fails("unary", "streams/normalize/layer", "MESSAGE_TOO_LARGE")

    def test_another_call_than_the_expected(self):
        self.fails("twice", "streams/small-tensor", "the server saw 2 of Normalize; expected 1")

    def test_an_adapter_that_dies_is_restarted(self):
        code, output = ran("--case", "normalize/batch/float", wrong="dies")
        self.assertEqual(code, 1)
        self.assertEqual(output.count("the adapter has ended without an answer"), 2 * 3, output)

    def test_an_adapter_that_does_not_answer_is_stopped(self):
        with mock.patch.object(run, "PATIENCE", 5):
            self.fails("silent", "normalize/layer/readme", "has not answered within 5 s")

    def test_an_adapter_that_does_not_end_with_its_input(self):
        stubborn = adapter.Adapter(["sh", "-c", """read line; echo '{"id": 1, "result": {}}'; sleep 60"""], HERE)
        stubborn.ask({}, 10)
        with mock.patch.object(adapter, "LAST_WORDS", 0.2):
            self.assertEqual(stubborn.finish(), "the adapter does not end with standard input")

    def test_unsupported_is_a_gap(self):
        code, output = ran("--case", "normalize/layer/readme", wrong="unsupported")
        self.assertEqual(code, 0)
        self.assertIn("gap adapter normalize/layer/readme", output)
        self.assertRegex(output, r"(?m)^normalize +-$")

    def test_a_client_that_cannot_be_built(self):
        client = {"name": "go", "prepare": ["false"], "start": ["true"]}
        with contextlib.redirect_stdout(io.StringIO()):
            failures = run.run_client(client, [], None, matrix.Matrix(), False)
        self.assertEqual(failures, ["go: cannot be built"])

    def test_no_case(self):
        self.assertEqual(ran("--case", "nothing/")[0], 1)


class Comparison(unittest.TestCase):
    def differ(self, expected, actual, **more):
        return compare.differences({"result": expected, **more}, {"result": actual})

    def test_numbers_are_compared_to_the_bit(self):
        self.assertEqual(self.differ({"a": 1}, {"a": 1.0}), [])
        self.assertEqual(self.differ({"a": "NaN"}, {"a": "NaN"}), [])
        for other in (-0.0, 5e-324, "NaN", "0.0", True, [0]):
            self.assertTrue(self.differ({"a": 0.0}, {"a": other}), other)
        self.assertTrue(self.differ({"a": "5"}, {"a": 5}))

    def test_nan_of_any_bits_where_a_case_allows_it(self):
        tensor = {"dtype": "float16", "shape": [1], "data": "AH4="}
        for data, nan, same in (("AX4=", None, False), ("Af4=", "any quiet", True), ("AX0=", "any quiet", False)):
            self.assertEqual(self.differ({"a": tensor}, {"a": tensor | {"data": data}}, nan=nan) == [], same, data)

    def test_a_text_is_no_longer_than_allowed(self):
        expect = {"error": {"text_at_most": 4}}
        for message, same in (("four", True), ("f\u00fcnf", False), ("", False), (None, False)):
            answer = {"error": {"code": "INTERNAL", "message": message}}
            self.assertEqual(compare.differences(expect, answer) == [], same, message)

    def test_a_name_of_several(self):
        expect = {"error": {"code": "INVALID_ARGUMENT", "fields": [["eps", "header.eps"]]}}
        for fields, same in (
            (["eps"], True),
            (["header.eps"], True),
            (["x"], False),
            ([], False),
            (["eps", "eps"], False),
        ):
            answer = {"error": {"code": "INVALID_ARGUMENT", "fields": fields}}
            self.assertEqual(compare.differences(expect, answer) == [], same, fields)


class Script(unittest.TestCase):
    """The scripted server, called by the stubs."""

    def called(self, script: dict):
        scripted = Scripted(script, "0.1.0")
        self.addCleanup(scripted.close)
        channel = grpc.insecure_channel(scripted.address, options=[("grpc.max_receive_message_length", -1)])
        self.addCleanup(channel.close)
        return scripted, rpc.TensorOpsServiceStub(channel)

    def test_steps_follow_each_other_and_the_last_is_repeated(self):
        scripted, stub = self.called({"Normalize": [{"fail": "UNAVAILABLE"}, {"answer": True}, {"fail": "ABORTED"}]})
        request = pb.NormalizeRequest(input=pb.Tensor(shape=[1]))
        seen = []
        for _ in range(4):
            try:
                seen.append(stub.Normalize(request).output.shape)
            except grpc.RpcError as error:
                seen.append(error.code().name)
        self.assertEqual(seen, ["UNAVAILABLE", [1], "ABORTED", "ABORTED"])
        self.assertEqual(scripted.calls["Normalize"], 4)

    def test_a_cut_breaks_the_connection_in_the_answer(self):
        _, stub = self.called({"Normalize": [{"cut": 100_000}, {"answer": True}]})
        request = pb.NormalizeRequest(input=pb.Tensor(shape=[1]))
        with self.assertRaises(grpc.RpcError) as caught:
            stub.Normalize(request)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(stub.Normalize(request).output.shape, [1])

    def test_it_sees_who_gives_up(self):
        scripted, stub = self.called({"Normalize": [{"hang": True}]})
        call = stub.Normalize.future(pb.NormalizeRequest(input=pb.Tensor(shape=[1])))
        self.assertEqual(scripted.wait_left("Normalize", 1, 0.2), 0)
        call.cancel()
        self.assertEqual(scripted.wait_left("Normalize", 1, 20), 1)

    def test_fields_of_an_answer_are_changed(self):
        shape = {"item": 1, "times": 1000}
        change = {"output": {"name": {"item": "ab", "times": 2}, "shape": shape}, "axes": None}
        _, stub = self.called({"Normalize": [{"set": change}]})
        answer = stub.Normalize(pb.NormalizeRequest(input=pb.Tensor(shape=[1, 4], data=b"1234")))
        self.assertEqual((answer.output.name, list(answer.output.shape), answer.output.data), ("abab", [1] * 1000, b""))
        self.assertEqual(list(answer.axes), [])

    def test_a_part_of_a_stream_is_changed_alone(self):
        _, stub = self.called({"DropoutStream": [{"set": {"summary": {"kept": 7}}}]})
        header = pb.DropoutStreamRequest(header=pb.DropoutRequest(input=pb.Tensor(shape=[4])))
        answers = list(stub.DropoutStream(iter([header])))
        self.assertEqual([answer.WhichOneof("part") for answer in answers], ["header", "summary"])
        self.assertEqual((answers[0].header.kept, answers[1].summary.kept), (0, 7))

    def test_an_answer_can_have_any_number_of_messages(self):
        for number in (0, 1, 2):
            scripted, _ = self.called({"Normalize": [{"messages": number}]})
            channel = grpc.insecure_channel(scripted.address)
            self.addCleanup(channel.close)
            call = channel.unary_stream("/evenkeel.v1.TensorOpsService/Normalize")
            self.assertEqual(len(list(call(pb.NormalizeRequest().SerializeToString()))), number)

    def test_delays_and_texts_of_any_length(self):
        step = {"fail": "RESOURCE_EXHAUSTED", "text": 5000, "retry_delay": [-(2**63), -5]}
        _, stub = self.called({"Normalize": [step]})
        with self.assertRaises(grpc.RpcError) as caught:
            stub.Normalize(pb.NormalizeRequest())
        self.assertEqual(caught.exception.details(), "x" * 5000)
        self.assertLess(bare.error(caught.exception)["retry_after_ms"], -(2**63))

    def test_versions(self):
        for version, seen in (("same", "0.1.99"), ("minor+2", "0.3.0"), ("2.0.0", "2.0.0")):
            _, stub = self.called({"version": version})
            self.assertEqual(stub.GetServerInfo(pb.GetServerInfoRequest()).version, seen)


class Table(unittest.TestCase):
    def setUp(self):
        self.table = matrix.Matrix()
        for client, outcomes in (("go", ["passed", "passed"]), ("java", ["passed", "gap"]), ("cpp", ["gap", "gap"])):
            for outcome in outcomes:
                self.table.add("layouts", client, outcome)

    def test_cells(self):
        self.assertEqual(self.table.markdown().splitlines()[-1], "| layouts | 2/2 | 1/2 | - |")
        self.table.add("layouts", "go", "failed")
        self.assertIn("2/3 FAILED", self.table.text())

    def test_the_page(self):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "clients.md"
            page.write_text(f"# Clients\n{matrix.BEGIN}\nold\n{matrix.END}\nend\n")
            with mock.patch.object(matrix, "PAGE", page), mock.patch.object(matrix, "ROOT", Path(folder)):
                options = mock.Mock(client=[], client_dir=[], adapter=None, case="", write_docs=False)
                with mock.patch.object(run, "ROOT", Path(folder)):
                    self.assertIn("another matrix", run.check_page(options, self.table)[0])
                    options.write_docs = True
                    self.assertEqual(run.check_page(options, self.table), [])
                    options.write_docs = False
                    self.assertEqual(run.check_page(options, self.table), [])
            self.assertTrue(page.read_text().startswith("# Clients\n<!--") and page.read_text().endswith("end\n"))


class CaseFiles(unittest.TestCase):
    def test_what_is_written_by_hand_says_so(self):
        for case in cases.read():
            with self.subTest(case["name"]):
                scripted = isinstance(case.get("server"), dict)
                self.assertTrue(not scripted or case["expect"].get("by_hand"))
                self.assertLessEqual(
                    set(case), {"name", "group", "server", "client", "args", "times", "expect", *cases.REQUEST}
                )

    def test_names_are_unique(self):
        found = [json.loads(file.read_text()) for file in cases.FOLDER.glob("*.json")]
        doubled = [found[0], found[0]]
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(cases, "FOLDER", Path(folder)):
            for number, part in enumerate(doubled):
                (Path(folder) / f"{number}.json").write_text(json.dumps(part))
            with self.assertRaises(SystemExit):
                cases.read()


if __name__ == "__main__":
    unittest.main()
