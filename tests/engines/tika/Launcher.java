import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;
import org.apache.tika.Tika;
import org.apache.tika.exception.TikaException;
import org.apache.tika.io.TikaInputStream;
import org.apache.tika.metadata.Metadata;
import org.apache.tika.parser.AutoDetectParser;
import org.apache.tika.parser.ParseContext;
import org.apache.tika.parser.Parser;
import org.apache.tika.sax.BodyContentHandler;

/**
 * Tika's own parsers behind what is asked of Tika's server here: PUT /tika and GET /version, with the answers that the
 * server gives (422: encrypted, broken or of no kind that is known; 500: all else that goes wrong).
 */
public final class Launcher {
    private static final Parser PARSER = new AutoDetectParser();

    private static void answer(HttpExchange exchange, int status, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "text/plain; charset=UTF-8");
        exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
        if (bytes.length > 0) {
            exchange.getResponseBody().write(bytes);
        }
        exchange.close();
    }

    private static void read(HttpExchange exchange) throws IOException {
        StringBuilder text = new StringBuilder();
        int status = 200;
        if (!exchange.getRequestMethod().equals("PUT")) {
            answer(exchange, 405, "");
            return;
        }
        try (TikaInputStream content = TikaInputStream.get(exchange.getRequestBody())) {
            ParseContext context = new ParseContext();
            context.set(Parser.class, PARSER);
            BodyContentHandler handler = new BodyContentHandler(-1);
            PARSER.parse(content, handler, new Metadata(), context);
            text.append(handler);
        } catch (TikaException | IllegalStateException e) {
            status = 422;
            text.setLength(0);
        } catch (Exception e) {
            status = 500;
            text.setLength(0);
        }
        answer(exchange, status, text.toString());
    }

    public static void main(String[] arguments) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])), 0);
        server.createContext("/tika", Launcher::read);
        server.createContext("/version", exchange -> answer(exchange, 200, new Tika().toString()));
        server.setExecutor(Executors.newFixedThreadPool(2));
        server.start();
    }
}
