// SPDX-License-Identifier: GPL-2.0-or-later
// A Java service's heap: Load.java SEED MIB. Fills about MIB, prints "ready", sleeps.
import java.util.*;

public class Load {
  static class Reading {
    long id;
    String sensor;
    double value;
    Reading previous;
    List<String> notes = new ArrayList<>();
  }

  public static void main(String[] args) throws Exception {
    Random random = new Random(Long.parseLong(args[0]));
    long limit = Long.parseLong(args[1]) << 20;
    Map<String, Reading> latest = new HashMap<>();
    TreeMap<Long, String> log = new TreeMap<>();
    List<byte[]> frames = new ArrayList<>();
    Runtime runtime = Runtime.getRuntime();
    for (int i = 0; runtime.totalMemory() - runtime.freeMemory() < limit; i++) {
      Reading r = new Reading();
      r.id = i;
      r.sensor = "sensor/" + random.nextInt(200000) + "/" + Integer.toHexString(i);
      r.value = random.nextGaussian();
      r.previous = latest.get("sensor/" + random.nextInt(200000));
      for (int k = random.nextInt(4); k > 0; k--) r.notes.add("note " + random.nextInt(300));
      latest.put(r.sensor, r);
      if (i % 6 == 0) log.put(random.nextLong(), r.sensor + "=" + r.value);
      if (i % 9 == 0) frames.add((r.sensor + r.notes + r.value).getBytes());
    }
    System.out.println("ready");
    System.out.flush();
    Thread.sleep(600000);
    System.out.println(latest.size() + log.size() + frames.size());
  }
}
