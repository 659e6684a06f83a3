#!/usr/bin/env python3
"""The loss of a student against a text and a teacher, and its gradient, by PyTorch.

    python3 scripts/reference/distillation.py            # writes crates/training/fixtures/distillation.json
    python3 scripts/reference/distillation.py --check    # compares with what is there

(1 - w) cross-entropy + w T^2 KL(softmax(teacher / T) || softmax(student / T)), Hinton, Vinyals, Dean 2015, in double precision; sums
over the tokens.
"""

import sys

import torch
import torch.nn.functional as functional

from fixture_files import command_line, number, source, store

STUDENT = [[0.3, -1.2, 2.0, 0.1, 0.7], [1.5, 0.2, -0.4, -2.0, 0.9], [-0.6, 0.8, 0.5, 3.1, -1.4]]
TEACHER = [[1.1, -0.3, 0.4, 2.2, -0.8], [0.0, 0.5, 1.9, -1.0, 0.6], [2.4, -1.7, 0.2, 0.9, 0.3]]
TARGETS = [4, 0, 2]


def case(temperature, weight):
    student = torch.tensor(STUDENT, dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor(TEACHER, dtype=torch.float64)
    hard = functional.cross_entropy(student, torch.tensor(TARGETS), reduction="sum")
    log_student = functional.log_softmax(student / temperature, dim=1)
    log_teacher = functional.log_softmax(teacher / temperature, dim=1)
    soft = temperature**2 * functional.kl_div(log_student, log_teacher, reduction="sum", log_target=True)
    loss = (1 - weight) * hard + weight * soft
    loss.backward()
    return {
        "temperature": temperature,
        "weight": weight,
        "hard": number(hard.item()),
        "soft": number(soft.item()),
        "loss": number(loss.item()),
        "gradient": [number(value) for value in student.grad.flatten().tolist()],
    }


def main():
    arguments = command_line(__doc__)
    cases = [case(1.0, 1.0), case(2.0, 0.5), case(2.5, 0.3), case(0.5, 0.9)]
    content = {"source": source("distillation.py"), "student": STUDENT, "teacher": TEACHER, "targets": TARGETS, "cases": cases}
    return 0 if store("crates/training/fixtures/distillation.json", content, arguments.check) else 1


if __name__ == "__main__":
    sys.exit(main())
