# Python over Fast DDS needs the C side of an interface, with its introspection, from which type
# objects are made. The C++ side would be more than half of the compiling.
list(FILTER AMENT_EXTENSIONS_rosidl_generate_idl_interfaces EXCLUDE REGEX "_cpp:")
