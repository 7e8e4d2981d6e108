"""How the classifier is made: data, training, quantization, ONNX export and evaluation."""
