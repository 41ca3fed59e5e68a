"""Every question is put to every model and to the trivial answers; the answers are scored."""

from collections.abc import Iterator, Sequence

from tqdm import tqdm

from lvsm_engine.synthesizer import Synthesizer

from .answers import Answer, synthesized, trivial_answers
from .questions import Question, Subjects
from .report import ShownQuestion, extreme_questions
from .scores import LpipsSettings, Score, score_answer


def score_all(
    subjects: Subjects, inputs: int, models: dict[str, Synthesizer], detail: bool, lpips: LpipsSettings | None
) -> Iterator[Score]:
    """Each answer to each question; the models are warmed up by the first question, whose answers are thrown away.

    Raises AnswerError for a model whose pictures are not finite.
    """
    warm = False
    with tqdm(total=subjects.count(), desc=f"{inputs} inputs", unit="question", disable=None) as bar:
        for question in subjects.questions(inputs):
            if not warm:
                model_answers(question, models, detail)
                warm = True
            for answer in (*model_answers(question, models, detail), *trivial_answers(question)):
                yield from score_answer(question, inputs, answer, lpips)
            bar.update()


def model_answers(question: Question, models: dict[str, Synthesizer], detail: bool) -> list[Answer]:
    """Each model's, and with detail also those sharpened by the photos."""
    return [answer for name, model in models.items() for answer in synthesized(name, model, question, detail)]


def worst_median_best(
    subjects: Subjects, inputs: int, models: dict[str, Synthesizer], detail: bool, scores: Sequence[Score]
) -> list[ShownQuestion]:
    """The questions in which the first model did worst, middling and best, in this order, and answers to them.

    Answers to a single target are shown beside the nearest input; with many targets the models' fill the sheet.
    """
    first = next(iter(models))
    places = extreme_questions([score for score in scores if score.inputs == inputs and score.answer == first])
    shown = {}
    for question in subjects.questions(inputs, only=places):
        trivial = trivial_answers(question) if len(question.targets) == 1 else []
        answers = (*model_answers(question, models, detail), *trivial)
        shown[question.name] = ShownQuestion(places[question.name], question, answers)
    return [shown[name] for name in places]
