"""How many classes a validation split takes."""


def validation_classes(train_classes: int, share: float) -> int:
    """The number of training classes held out for validation; 0 means: hold out images instead.

    At least two classes are needed on either side, or Recall@K on the held-out classes would be 1
    whatever the embedding, and no negative would be left to train on.
    """
    held_out = round(train_classes * share)
    return held_out if held_out >= 2 and train_classes - held_out >= 2 else 0
