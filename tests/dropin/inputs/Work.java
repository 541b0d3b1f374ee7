import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** Threads, collections and direct buffers; prints results that do not change. */
public class Work {
  static int churn(long seed) {
    long value = seed;
    Map<Long, String> kept = new HashMap<>();
    for (int i = 0; i < 50000; i++) {
      value = (value * 1103515245 + 12345) & 0x7fffffff;
      kept.put(value % 997, "x".repeat((int) (value % 700)));
    }
    return kept.values().stream().mapToInt(String::length).sum();
  }

  public static void main(String[] arguments) throws Exception {
    int[] results = new int[8];
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      final int index = i;
      threads.add(new Thread(() -> results[index] = churn(index)));
    }
    for (Thread thread : threads) thread.start();
    for (Thread thread : threads) thread.join();
    for (int result : results) System.out.print(result + " ");
    System.out.println();
    long sum = 0;
    for (int i = 0; i < 300; i++) {
      ByteBuffer buffer = ByteBuffer.allocateDirect(100000);
      buffer.put(i * 300, (byte) i);
      sum += buffer.get(i * 300);
    }
    System.out.println(sum);
    System.out.println(IntStream.range(0, 1000000).parallel().filter(i -> i % 7 == 3).count());
  }
}
