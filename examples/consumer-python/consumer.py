"""Prints every change, and acknowledges it when it is printed: consumer.py ADDRESS SUBSCRIPTION CONSUMER_ID"""
import queue, random, sys, threading, time
import grpc
from twinroute.capture.v1 import capture_service_pb2_grpc as service, stream_pb2 as stream

OPTIONS = [("grpc.max_receive_message_length", 64 << 20)]  # one event at its largest, with both its documents


def follow(address, subscription, consumer_id, handle):
    """Follows one stream to its end. `handle` returns when an item is durable; it may see an item again."""
    out, sent_at, over = queue.SimpleQueue(), {0: time.monotonic()}, threading.Event()
    say = lambda **frame: out.put(stream.SubscribeRequest(**frame))
    say(hello=stream.Hello(subscription=subscription, consumer_id=consumer_id, protocol_version=1))
    with grpc.insecure_channel(address, OPTIONS) as channel:
        frames = service.CaptureServiceStub(channel).Subscribe(iter(out.get, None))
        lease_s = next(frames).welcome.lease.ToTimedelta().total_seconds()
        alive_at = sent_at.pop(0)  # Hello is heartbeat 0, and Welcome answers it

        def beat(n=1):
            while not over.wait(lease_s / 4):
                sent_at[n] = time.monotonic()
                say(heartbeat=stream.Heartbeat(n=n))
                n += 1

        threading.Thread(target=beat, daemon=True).start()
        say(credit=stream.Credit(events=1000, bytes=16 << 20))
        try:
            for frame in frames:
                kind = frame.WhichOneof("frame")
                if kind == "heartbeat_seen":
                    alive_at = sent_at.pop(frame.heartbeat_seen.n)
                elif kind == "assignment" and frame.assignment.revoked:
                    # Every batch before this frame is handled and acknowledged: nothing is left to settle.
                    say(released=stream.Released(assignment_id=frame.assignment.assignment_id))
                elif kind == "go_away":
                    out.put(None)  # we end our side after what is queued; capture then ends its own
                for batch in frame.batches.batches if kind == "batches" else []:
                    for item in batch.items:
                        if time.monotonic() - alive_at > lease_s * 2 / 3:
                            raise TimeoutError("the lease may be over, and the partition somebody else's")
                        handle(batch.partition, item)
                    ack = stream.PartitionAck(partition=batch.partition, epoch=batch.epoch, batch=batch.batch)
                    say(ack=stream.Ack(partitions=[ack]))
                    cost = sum(item.cost_bytes for item in batch.items)
                    say(credit=stream.Credit(events=len(batch.items), bytes=cost))
        finally:
            over.set()
            out.put(None)


while True:
    try:
        follow(*sys.argv[1:], handle=lambda partition, item: print(partition, item, flush=True))
    except (grpc.RpcError, TimeoutError) as error:
        if isinstance(error, grpc.RpcError) and error.code() == grpc.StatusCode.ALREADY_EXISTS:
            sys.exit("another process has this CONSUMER_ID")  # to come back would throw it out in turn
        print("the stream ended:", error, file=sys.stderr)
    time.sleep(random.uniform(0, 5))
