import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.komamitsu.fluency.EventTime;
import org.komamitsu.fluency.Fluency;
import org.komamitsu.fluency.fluentd.FluencyBuilderForFluentd;

/** Sends events 0, 1, 2, … with Fluency, which sends chunks again until they are acknowledged; prints their numbers whenever its buffer is empty. */
public class Sender {
  public static void main(String[] arguments) throws Exception {
    int count = Integer.parseInt(arguments[1]);
    FluencyBuilderForFluentd builder = new FluencyBuilderForFluentd();
    builder.setAckResponseMode(true);
    builder.setBufferChunkInitialSize(256);
    builder.setBufferChunkRetentionSize(1024);
    builder.setFlushAttemptIntervalMillis(20);
    builder.setSenderMaxRetryCount(100);
    builder.setSenderBaseRetryIntervalMillis(50);
    builder.setSenderMaxRetryIntervalMillis(200);
    builder.setConnectionTimeoutMilli(5000);
    builder.setReadTimeoutMilli(5000);
    builder.setWaitUntilBufferFlushed(60);
    builder.setWaitUntilFlusherTerminated(60);
    Fluency fluency = builder.build("127.0.0.1", Integer.parseInt(arguments[0]));
    for (int n = 0; n < count; n++) {
      fluency.emit("ml.java", EventTime.fromEpoch(1795136400, 5), Map.of("n", n));
      if (n == count / 2 || n == count - 1) {
        fluency.flush();
        if (!fluency.waitUntilAllBufferFlushed(60)) {
          System.exit(1);
        }
        for (int acknowledged = n == count / 2 ? 0 : count / 2 + 1; acknowledged <= n; acknowledged++) {
          System.out.println(acknowledged);
        }
      }
    }
    fluency.close();
  }
}
