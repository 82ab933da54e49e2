"""GCPO on a model of your own: python examples/own_model.py MODEL_FOLDER_OR_HUB_ID OUTPUT_FOLDER"""

import sys

import torch
from datasets import Dataset
from transformers import AutoTokenizer

from gcpo import GCPOConfig, GCPOTrainer
from gcpo.trainers.gcpo_config import CHAT_INTEGRATION_TEMPLATE

if len(sys.argv) != 3:
    sys.exit(f"usage: {(__doc__ or '').partition(': ')[2]}")
model, output = sys.argv[1:]
data = Dataset.from_list([{"prompt": f"{a} + {b} =", "answer": str(a + b)} for a in range(5) for b in range(5)])


def reward(completions: list[str], answer: list[str], **_: object) -> list[float]:
    return [float(gold in text.split()) - 0.01 * len(text) for text, gold in zip(completions, answer, strict=True)]


args = GCPOConfig(output_dir=output, num_generations=4, per_device_train_batch_size=8, gradient_accumulation_steps=1,
                  max_completion_length=16, max_steps=3, learning_rate=1e-5, log_completions=True,
                  use_cpu=not torch.cuda.is_available(), candidate_view="full",
                  integration_template=CHAT_INTEGRATION_TEMPLATE)  # fmt: skip
trainer = GCPOTrainer(model, reward, args, train_dataset=data, processing_class=AutoTokenizer.from_pretrained(model))
trainer.train()
trainer.save_model(output)
