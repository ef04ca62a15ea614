import java.io.File;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;

/** A namenode and a datanode in a folder, until standard input ends; says where their WebHDFS is. */
public class MiniHdfs {
  public static void main(String[] arguments) throws Exception {
    Configuration settings = new Configuration();
    settings.setInt("dfs.ls.limit", 5); // entries of a page of a listing
    settings.setInt("dfs.namenode.fs-limits.min-block-size", 0);
    MiniDFSCluster cluster = new MiniDFSCluster.Builder(settings, new File(arguments[0])).numDataNodes(1).build();
    cluster.waitActive();
    System.out.println(cluster.getHttpUri(0));
    while (System.in.read() >= 0) {}
    cluster.shutdown();
  }
}
