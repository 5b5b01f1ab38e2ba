import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import io.strimzi.api.kafka.model.kafka.Kafka;
import io.strimzi.api.kafka.model.nodepool.KafkaNodePool;
import io.strimzi.api.kafka.model.topic.KafkaTopic;
import io.strimzi.api.kafka.model.user.KafkaUser;
import java.io.File;
import java.util.Collection;
import java.util.Map;

/** Reads the Kafka objects of rendered manifests with Strimzi's own classes. They keep what they do not know: that is a finding. */
public final class Check {
    private static final Map<String, Class<?>> KINDS = Map.of(
            "Kafka", Kafka.class, "KafkaNodePool", KafkaNodePool.class, "KafkaTopic", KafkaTopic.class, "KafkaUser", KafkaUser.class);

    private static int findings = 0;

    private static void found(String what) {
        System.out.println(what);
        findings++;
    }

    /** Fields without a meaning, at any depth. */
    private static void unknown(String path, Object object) throws ReflectiveOperationException {
        if (object instanceof Collection<?> items) {
            for (Object item : items) unknown(path + "[]", item);
        }
        if (object == null || object instanceof Enum || !object.getClass().getName().startsWith("io.strimzi.")) return;
        for (var getter : object.getClass().getMethods()) {
            if (getter.getParameterCount() != 0 || !getter.getName().startsWith("get")) continue;
            Object value = getter.invoke(object);
            if (!getter.getName().equals("getAdditionalProperties")) {
                unknown(path + "." + getter.getName().substring(3), value);
            } else if (value instanceof Map<?, ?> fields && !fields.isEmpty()) {
                found(path + ": unknown " + fields.keySet());
            }
        }
    }

    /** Values that the classes do not keep, such as a word that an enumeration lacks. */
    private static void lost(String path, JsonNode before, JsonNode after) {
        if (after == null) {
            found(path + ": not understood");
        } else if (before.isObject()) {
            before.fieldNames().forEachRemaining(name -> lost(path + "." + name, before.get(name), after.get(name)));
        } else if (before.isArray()) {
            for (int i = 0; i < before.size(); i++) lost(path + "[" + i + "]", before.get(i), after.get(i));
        } else if (!before.asText().equals(after.asText())) {
            found(path + ": " + before + " is read as " + after);
        }
    }

    public static void main(String[] files) throws Exception {
        var json = new ObjectMapper();
        int objects = 0;
        for (String file : files) {
            var documents = new ObjectMapper(new YAMLFactory()).readerFor(JsonNode.class).<JsonNode>readValues(new File(file));
            while (documents.hasNext()) {
                JsonNode document = documents.next();
                String kind = document.path("kind").asText();
                if (!KINDS.containsKey(kind) || !document.path("apiVersion").asText().startsWith("kafka.strimzi.io/")) continue;
                String name = kind + " " + document.at("/metadata/name").asText();
                Object object = json.treeToValue(document, KINDS.get(kind));
                unknown(name, object);
                lost(name, document.get("spec"), json.valueToTree(object).get("spec"));
                objects++;
            }
        }
        System.out.println(objects + " objects, " + findings + " findings");
        System.exit(objects > 0 && findings == 0 ? 0 : 1);
    }
}
