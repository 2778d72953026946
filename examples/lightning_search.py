"""A LightningModule, its trials paused and continued from Lightning's own checkpoints."""

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

import luthier

data = luthier.datasets.fashion_mnist("subset")


def loader(images, labels, size, **options):
    return DataLoader(TensorDataset(torch.tensor(images), torch.tensor(labels)), size, **options)


class Net(pl.LightningModule):
    def __init__(self, rate, units):
        super().__init__()
        self.rate = rate
        self.layers = torch.nn.Sequential(
            torch.nn.Flatten(),
            torch.nn.Linear(784, units),
            torch.nn.ReLU(),
            torch.nn.Linear(units, 10),
        )

    def training_step(self, batch, _):
        return torch.nn.functional.cross_entropy(self.layers(batch[0]), batch[1])

    def validation_step(self, batch, _):
        logits = self.layers(batch[0])
        self.log("val_accuracy", (logits.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), self.rate)


def train(trial):
    torch.manual_seed(trial.seed)
    luthier.lightning.fit(
        trial,
        Net(trial["learning_rate"], trial["units"]),
        loader(*data.train, 128, shuffle=True),
        loader(*data.validation, 512),
        accelerator="cpu",
    )


if __name__ == "__main__":
    result = luthier.tune(
        train,
        {
            "learning_rate": luthier.Float(1e-4, 1e-1, scale="log"),
            "units": luthier.Int(16, 128, scale="log"),
        },
        maximize="val_accuracy",
        epochs=3,
        scheduler="hyperband",
        max_epochs=8,
    )
    print(f"best {result.best_value:.3f} {result.configuration}")
    print("weights in", result.checkpoint() / "lightning.ckpt")
