"""A first call from Python. Stubs come from the proto alone:

pip install grpcio-tools numpy
python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. evenkeel/v1/tensor_ops.proto
"""

import grpc
import numpy as np
from evenkeel.v1 import tensor_ops_pb2 as pb, tensor_ops_pb2_grpc as rpc

service = rpc.TensorOpsServiceStub(grpc.insecure_channel("127.0.0.1:50051"))
x = np.array([[1, 2, 3, 4], [5, 5, 7, 7]], dtype="<f4")
tensor = pb.Tensor(dtype=pb.DATA_TYPE_FLOAT32, shape=x.shape, data=x.tobytes())
answer = service.Normalize(pb.NormalizeRequest(kind=pb.NORM_KIND_LAYER, input=tensor))
print(np.frombuffer(answer.output.data, "<f4").reshape(answer.output.shape))
